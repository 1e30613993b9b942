module hostile

go 1.21

require example.com/evil v1.0.0
