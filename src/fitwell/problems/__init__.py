"""What is searched: a table, a Keras model on arrays or on a table, two functions."""
