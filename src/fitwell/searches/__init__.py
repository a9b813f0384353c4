"""Searches of every sort: what is read becomes a data set, row sets and strengths; the engine trains them at once."""
