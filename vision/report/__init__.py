"""The report of an evaluation: one HTML page that says how good, why not better, and what to do."""
