"""Results as text and files: formats what others computed, computes nothing."""
