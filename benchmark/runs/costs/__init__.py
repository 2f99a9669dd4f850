"""Time and money of a run: a forecast, what was spent, and the limit on it. Amounts are USD."""
