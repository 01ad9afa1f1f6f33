"""The origins' side: groups of servers, connections to them, and exchanges on those connections."""
