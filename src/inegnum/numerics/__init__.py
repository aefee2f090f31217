"""Arrays in, frozen results out: no areas, no pandas, no PyMC here."""
