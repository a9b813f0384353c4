"""Training everything at once: one network's run, lifted over strengths and row sets."""
