"""The page: tables and pictures drawn from the plain values of `rankmill.report.content`."""
