"""What happens, in which order: one thin Prefect flow a file, and the command line."""
