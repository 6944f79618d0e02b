"""Plain models: hand-made features and scikit-learn or LightGBM learners; nothing here loads torch."""
