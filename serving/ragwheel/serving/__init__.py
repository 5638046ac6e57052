"""To come: the promoted model, over HTTP and in process."""
