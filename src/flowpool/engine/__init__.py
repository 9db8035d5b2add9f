"""The engine: policies that decide (plan, lane, retry), and a driver that awaits."""
