"""Run the command line as `python -m minivae.cli`."""

from minivae.cli.main import main

if __name__ == "__main__":
    main()
