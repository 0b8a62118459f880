"""Workspaces on an object store (`s3://`, `gs://`, `az://`): a bounded mirror on the local disk,
and the store behind it. The only folder that knows obstore; see docs/object-stores.md.
"""
