"""Where the jobs of an audit run: processes of this machine, or a cluster of them."""
