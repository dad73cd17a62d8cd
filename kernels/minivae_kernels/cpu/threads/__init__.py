"""One team of threads: its members, the barriers they meet at, and how they share work."""
