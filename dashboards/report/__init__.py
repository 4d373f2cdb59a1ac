"""An incident's report: one HTML file that needs nothing but itself, written from a bundle by pure functions."""
