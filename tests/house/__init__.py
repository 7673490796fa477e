"""Tests of the house: secrets, logs, documents, units, scripts."""
