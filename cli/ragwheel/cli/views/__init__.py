"""What commands print, made from values."""
