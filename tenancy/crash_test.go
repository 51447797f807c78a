package tenancy_test

func beVictim(string) {}
