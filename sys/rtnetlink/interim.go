package rtnetlink

import "syscall"

func (r *Route) newRoute(*request) error     { return syscall.EOPNOTSUPP }
func (r *Route) delRoute(*request) error     { return syscall.EOPNOTSUPP }
func (r *Route) getRoute(*request) error     { return syscall.EOPNOTSUPP }
func (r *Route) newRule(*request) error      { return syscall.EOPNOTSUPP }
func (r *Route) delRule(*request) error      { return syscall.EOPNOTSUPP }
func (r *Route) dumpRoutes(q *request) error { return q.Dump(empty()) }
func (r *Route) dumpRules(q *request) error  { return q.Dump(empty()) }
func (r *Route) listen()                     { r.ip.Neigh.Notify = r.neighEvent }
