"""What an operator does to ragwheel, as functions: send events, look, check the machine."""
