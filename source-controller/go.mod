module weir.dev/source-controller

go 1.26.0
