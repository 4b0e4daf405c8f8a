"""Masters and agents on several machines: started, stopped and looked after over ssh, without a service of its own."""
