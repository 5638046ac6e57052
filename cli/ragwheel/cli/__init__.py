"""The command line `ragwheel`. Start reading at `main`."""
