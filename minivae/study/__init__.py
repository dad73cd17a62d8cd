"""The study path: the story of the VAE, chapter by chapter, each one text, code and experiment.

A chapter imports what it needs from here: `show_source`, `picture`, `state` and `table` put things
on the page, whether it runs as a notebook, in the built book or under `minivae study NAME`.
"""

from minivae.study.data import study_data
from minivae.study.display import picture, recorded, show_source, spread, state, table

__all__ = ["picture", "recorded", "show_source", "spread", "state", "study_data", "table"]
