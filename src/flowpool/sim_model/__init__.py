"""The model that the simulator's answers are made by: extracts, filled schemas and vectors. Pure; knows no API."""
