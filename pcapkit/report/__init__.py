"""An analysis rendered: charts, one HTML page, terminal, exports."""
