"""Unit-level small-area estimators: one response per respondent, covariates known everywhere."""
