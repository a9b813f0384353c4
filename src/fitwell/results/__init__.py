"""What was found, as numbers; what predicts; and how both are kept in a directory."""
