"""Everything that searches: BM25 over postings, dense search by narrow numbers, FAISS and torch."""
