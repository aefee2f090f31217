"""Evidence to fit, fit to draws: one file a method."""
