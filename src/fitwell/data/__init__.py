"""Tables and row sets: reading, column kinds, raw features, encodings fitted per row set, targets, splits."""
