package worker

// NewBufferedConn is for the tests of the whole way, which see this package from outside.
var NewBufferedConn = newBufferedConn
