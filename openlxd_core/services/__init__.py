"""The services: one capability each, actor first."""
