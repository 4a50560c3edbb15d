"""What an output folder keeps between audits."""
