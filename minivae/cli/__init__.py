"""The command line of minivae, one file per command; `main.py` gathers them."""
