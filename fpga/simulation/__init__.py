"""RTL by CXXRTL and mapped netlists gate by gate."""
