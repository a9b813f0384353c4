"""What histories say: intervals, choosing a strength, scores of predictions. NumPy, SciPy, scikit-learn's scores."""
