package lab

import "time"

// Hypervisor is one machine of a group.
type Hypervisor struct {
	ID       int64
	Name     string
	MemoryMB int
	Cores    int
	DiskGB   int
	Prohibit bool // takes nothing new
}

// Group is a placement group; its IPv4 pool is shared by its hypervisors.
type Group struct {
	ID          int64
	Name        string
	Hypervisors []Hypervisor
	IPv4        int    // how many addresses the pool has
	Net         string // the pool's first address
}

// Package is a size.
type Package struct {
	ID        int64
	Name      string
	MemoryMB  int
	Cores     int
	DiskGB    int
	TrafficGB int
}

// Template is an operating system.
type Template struct {
	ID       int64
	Category string
	Name     string
	Version  string
	Variant  string
	EOL      bool
	Windows  bool
}

// Server is one virtual server.
type Server struct {
	ID         int64
	UUID       string
	UserID     int64
	GroupID    int64
	Hypervisor int64
	PackageID  int64
	Name       string
	Hostname   string
	MemoryMB   int
	Cores      int
	DiskGB     int
	TrafficGB  int
	IPv4       []string
	Template   int64 // 0: never built
	SSHKeys    []int64
	Password   string
	Suspended  bool
	Stopped    bool
	Failed     bool
	Builds     int
	CreatedAt  time.Time
	BuildAt    time.Time // when the last build was asked for
	ReadyAt    time.Time // when it is complete
	BusyUntil  time.Time // another task runs until then
	DeleteAt   time.Time // zero: stays
}

// User is one VirtFusion user.
type User struct {
	ID     int64
	Name   string
	Email  string
	RelInt int64
	RelStr string
}

// Key is an SSH key.
type Key struct {
	ID, UserID      int64
	Name, PublicKey string
}

// Task is an item of the queue.
type Task struct {
	ID, ServerID int64
	Action       string
	Begun, Ended time.Time
}

// world is everything the lab knows; it is what File keeps.
type world struct {
	Next      int64
	Groups    []Group
	Packages  []Package
	Templates []Template
	Servers   map[int64]*Server
	Users     map[int64]*User
	Keys      map[int64]*Key
	Tasks     map[int64]*Task
}

// seed is a small hosting company.
func seed() world {
	return world{
		Next: 100,
		Groups: []Group{
			{ID: 1, Name: "Amsterdam", IPv4: 2000, Net: "198.18.0.2", Hypervisors: []Hypervisor{
				{ID: 1, Name: "ams-kvm-1", MemoryMB: 1 << 20, Cores: 512, DiskGB: 40_000}, {ID: 2, Name: "ams-kvm-2", MemoryMB: 1 << 20, Cores: 512, DiskGB: 40_000}}},
			{ID: 2, Name: "Frankfurt", IPv4: 1000, Net: "198.19.0.2", Hypervisors: []Hypervisor{{ID: 3, Name: "fra-kvm-1", MemoryMB: 1 << 19, Cores: 256, DiskGB: 20_000}}},
			{ID: 3, Name: "New York", IPv4: 4, Net: "198.19.128.2", Hypervisors: []Hypervisor{{ID: 4, Name: "nyc-kvm-1", MemoryMB: 16_384, Cores: 16, DiskGB: 500}}},
		},
		Packages: []Package{
			{ID: 1, Name: "VPS S", MemoryMB: 2048, Cores: 1, DiskGB: 40, TrafficGB: 2000},
			{ID: 2, Name: "VPS M", MemoryMB: 4096, Cores: 2, DiskGB: 80, TrafficGB: 4000},
			{ID: 3, Name: "VPS L", MemoryMB: 8192, Cores: 4, DiskGB: 160, TrafficGB: 8000},
			{ID: 4, Name: "VPS XL", MemoryMB: 16384, Cores: 8, DiskGB: 320, TrafficGB: 16000},
		},
		Templates: []Template{
			{ID: 11, Category: "Debian", Name: "Debian", Version: "13 (Trixie)", Variant: "Minimal"},
			{ID: 12, Category: "Debian", Name: "Debian", Version: "12 (Bookworm)", Variant: "Minimal"},
			{ID: 13, Category: "Debian", Name: "Debian", Version: "10 (Buster)", Variant: "Minimal", EOL: true},
			{ID: 21, Category: "Ubuntu", Name: "Ubuntu Server", Version: "24.04 LTS (Noble)", Variant: "Minimal"},
			{ID: 22, Category: "Ubuntu", Name: "Ubuntu Server", Version: "26.04 LTS", Variant: "Minimal"},
			{ID: 31, Category: "AlmaLinux", Name: "AlmaLinux", Version: "9", Variant: "Minimal"},
			{ID: 32, Category: "Rocky Linux", Name: "Rocky Linux", Version: "9", Variant: "Minimal"},
			{ID: 41, Category: "Windows", Name: "Windows Server", Version: "2025", Variant: "Standard", Windows: true},
		},
		Servers: map[int64]*Server{}, Users: map[int64]*User{}, Keys: map[int64]*Key{}, Tasks: map[int64]*Task{},
	}
}
