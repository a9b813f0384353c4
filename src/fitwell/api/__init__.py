"""The doors: `tune`, `diagnose`, `train`, `export` and the command line, each a thin translator."""
