"""Measurements beside the obvious alternative; nothing here is a test."""
