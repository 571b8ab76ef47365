"""Developers' measurements, run from a clone. They are not tests: times depend on the machine."""
