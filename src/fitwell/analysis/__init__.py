"""What histories say: choosing a strength, scores of predictions. NumPy (and scikit-learn's scores) only."""
