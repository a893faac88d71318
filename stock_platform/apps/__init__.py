"""What people start: the command line, the services it supervises, the demo.

Belongs here: asking for input, showing output, starting processes. Does not: anything that
decides about prices; every command hands over to pipeline/ or orchestration/.
"""
