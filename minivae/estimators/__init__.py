"""The models as scikit-learn estimators: fit, transform, inverse_transform, sample, score, save."""
