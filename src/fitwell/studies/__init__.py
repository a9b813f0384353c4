"""What is asked of a problem: one search, and questions that are row sets and strengths handed to the same function."""
