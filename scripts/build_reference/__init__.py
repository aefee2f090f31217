"""Build the reference tables of the package from the producers' files."""
