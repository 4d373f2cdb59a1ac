"""The core of the twin: what is observed, what it means, and where it is kept. Imports none of the other packages."""
