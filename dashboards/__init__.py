"""What people see and call: the pages, the HTTP interface, the live feed and the command line."""
