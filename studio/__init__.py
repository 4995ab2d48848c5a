"""The application around `pipelines`: history, sessions, jobs, page and command line. No tensors."""
