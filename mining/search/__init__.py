"""Everything that searches: BM25 over postings, dense search by tiles, FAISS and torch."""
